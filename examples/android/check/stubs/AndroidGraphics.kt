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

class Paint(flags: Int) {
    var textSize = 0f
    var color = 0

    fun measureText(text: String) = 0f

    companion object { const val ANTI_ALIAS_FLAG = 1 }
}

class Canvas(bitmap: Bitmap) {
    fun drawRect(left: Float, top: Float, right: Float, bottom: Float, paint: Paint) = Unit

    fun drawText(text: String, x: Float, y: Float, paint: Paint) = Unit
}

class Color {
    companion object {
        const val BLACK = -0x1000000
        const val WHITE = -1

        fun luminance(color: Int) = 0f
    }
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
