package com.example.classifier

import java.nio.ByteBuffer

private const val BYTES = 4 // of a pixel, red first

/** A picture: a pixel in every Int, as `Bitmap.getPixels` gives them, row by row. */
class Frame(val argb: IntArray, val width: Int, val height: Int)

/** A frame of the camera, whose rows of red, green, blue and alpha are [rowStride] bytes apart, which may be more than they have. */
fun frame(rgba: ByteBuffer, width: Int, height: Int, rowStride: Int): Frame {
    val row = ByteArray(width * BYTES)
    val argb = IntArray(width * height)
    for (y in 0 until height) {
        rgba.position(y * rowStride)
        rgba.get(row)
        for (x in 0 until width) {
            fun channel(n: Int) = row[x * BYTES + n].toInt() and 0xff
            argb[y * width + x] = 0xff shl 24 or (channel(0) shl 16) or (channel(1) shl 8) or channel(2)
        }
    }
    return Frame(argb, width, height)
}

/** A frame turned clockwise by [degrees], 0, 90, 180 or 270: the camera is built in as it fits, not upright. */
fun Frame.turned(degrees: Int): Frame {
    val isOnItsSide = degrees % 180 != 0
    val wide = if (isOnItsSide) height else width
    val high = if (isOnItsSide) width else height
    val turned = IntArray(argb.size) { n ->
        val x = n % wide
        val y = n / wide
        when (degrees) {
            0 -> argb[n]
            90 -> argb[(height - 1 - x) * width + y]
            180 -> argb[argb.size - 1 - n]
            270 -> argb[x * width + width - 1 - y]
            else -> throw IllegalArgumentException("a camera turned by $degrees degrees: expected 0, 90, 180 or 270")
        }
    }
    return Frame(turned, wide, high)
}
