@file:Suppress("UNUSED_PARAMETER", "unused")

package android.text.style

class ForegroundColorSpan(color: Int)
