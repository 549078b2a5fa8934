@file:Suppress("UNUSED_PARAMETER", "unused")

package android.content

import android.content.res.AssetManager
import java.io.File

class ActivityNotFoundException : RuntimeException()

class ContentResolver

open class Context {
    val assets = AssetManager()
    val contentResolver = ContentResolver()
    val cacheDir = File(".")
    val packageName = ""

    fun getString(id: Int) = ""
}
