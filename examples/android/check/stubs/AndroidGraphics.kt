@file:Suppress("UNUSED_PARAMETER", "unused")

package android.graphics

import android.content.ContentResolver
import android.net.Uri

class Size(val width: Int, val height: Int)

class Bitmap(val width: Int, val height: Int) {
    enum class Config { ARGB_8888 }

    fun copy(config: Config, isMutable: Boolean) = this

    fun getPixels(pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) = Unit

    companion object { fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config) = Bitmap(width, height) }
}

class ImageDecoder {
    class Source

    class ImageInfo(val size: Size)

    fun interface OnHeaderDecodedListener { fun onHeaderDecoded(decoder: ImageDecoder, info: ImageInfo, source: Source) }

    var allocator = 0

    fun setTargetSampleSize(size: Int) = Unit

    companion object {
        const val ALLOCATOR_SOFTWARE = 1

        fun createSource(resolver: ContentResolver, uri: Uri) = Source()

        fun decodeBitmap(source: Source, listener: OnHeaderDecodedListener) = Bitmap(1, 1)
    }
}
