@file:Suppress("UNUSED_PARAMETER", "unused")

package android.text

interface Spanned {
    companion object { const val SPAN_EXCLUSIVE_EXCLUSIVE = 33 }
}

class SpannableStringBuilder(private val text: CharSequence = "") : CharSequence by text, Spanned {
    fun append(text: CharSequence) = this

    fun append(text: CharSequence, what: Any, flags: Int) = this
}
