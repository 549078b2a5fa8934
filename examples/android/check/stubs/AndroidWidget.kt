@file:Suppress("UNUSED_PARAMETER", "unused")

package android.widget

import android.graphics.Bitmap

open class View {
    var isEnabled = true
    var keepScreenOn = false

    fun setOnClickListener(listener: (View) -> Unit) = Unit
}

open class TextView : View() { var text: CharSequence = "" }

open class Button : TextView()

class Switch : Button() {
    var isChecked = false

    fun setOnCheckedChangeListener(listener: (Switch, Boolean) -> Unit) = Unit
}

class ImageView : View() { fun setImageBitmap(bitmap: Bitmap) = Unit }
