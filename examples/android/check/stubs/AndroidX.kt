@file:Suppress("UNUSED_PARAMETER", "unused")

package androidx.activity

import android.content.Context
import android.os.Bundle
import androidx.activity.result.ActivityResultContract
import androidx.activity.result.ActivityResultLauncher
import androidx.lifecycle.LifecycleOwner

open class ComponentActivity : Context(), LifecycleOwner {
    open fun onCreate(savedInstanceState: Bundle?) = Unit

    open fun onDestroy() = Unit

    fun setContentView(layout: Int) = Unit

    @Suppress("UNCHECKED_CAST")
    fun <T> findViewById(id: Int): T = Any() as T

    fun runOnUiThread(task: () -> Unit) = task()

    fun <I, O> registerForActivityResult(contract: ActivityResultContract<I, O>, callback: (O) -> Unit) =
        ActivityResultLauncher<I>()
}
