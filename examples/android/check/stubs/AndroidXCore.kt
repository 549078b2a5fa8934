@file:Suppress("UNUSED_PARAMETER", "unused")

package androidx.core.content

import android.content.Context
import android.net.Uri
import java.io.File
import java.util.concurrent.Executor

class FileProvider {
    companion object { fun getUriForFile(context: Context, authority: String, file: File) = Uri() }
}

class ContextCompat {
    companion object { fun getMainExecutor(context: Context) = Executor { it.run() } }
}
