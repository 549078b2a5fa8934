package com.example.classifier

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round
import kotlin.math.roundToInt

/** Little-endian floats. */
fun floats(bytes: ByteArray): FloatArray {
    val buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
    return FloatArray(buffer.remaining()).also { buffer.get(it) }
}

/** Source pixels of one target pixel, and their factors. */
private class Weights(val first: Int, val factors: FloatArray)

/** A triangle around the centre of every target pixel; as wide as a target pixel where the image shrinks. */
private fun weights(from: Int, to: Int): List<Weights> {
    val scale = from.toDouble() / to
    val radius = max(1.0, scale)
    return List(to) { index ->
        val centre = (index + 0.5) * scale
        val first = max(0, ceil(centre - radius - 0.5).toInt())
        val last = min(from - 1, floor(centre + radius - 0.5).toInt())
        val factors = DoubleArray(last - first + 1) { max(0.0, 1 - abs(first + it + 0.5 - centre) / radius) }
        val sum = factors.sum().takeIf { it > 0 } ?: 1.0
        Weights(first, FloatArray(factors.size) { (factors[it] / sum).toFloat() })
    }
}

/** A rectangle of a picture, which may reach beyond it. */
data class Part(val top: Int, val left: Int, val height: Int, val width: Int)

private const val GREY = 127 // beyond a picture

/** Which part of a picture fills the net's input, as keras_resnet does it in Python. */
fun part(width: Int, height: Int, input: Input): Part {
    val down = width.toLong() * input.height // of the picture, where it is as wide as the input: parts of input.width
    val across = height.toLong() * input.width
    return when (input.fit) {
        "stretch" -> Part(0, 0, height, width)
        "own" -> Part(
            Math.floorDiv(height - input.height, 2), Math.floorDiv(width - input.width, 2), input.height, input.width,
        )
        "pad" -> Part( // at the bottom and at the right
            0, 0,
            max(height, -Math.floorDiv(-down, input.width.toLong()).toInt()),
            max(width, -Math.floorDiv(-across, input.height.toLong()).toInt()),
        )
        "crop" -> {
            fun share(size: Int) = max(1, round(size * input.crop.toFloat()).toInt())
            val partHeight = share(min(height, (down / input.width).toInt()))
            val partWidth = share(min(width, (across / input.height).toInt()))
            Part((height - partHeight) / 2, (width - partWidth) / 2, partHeight, partWidth)
        }
        else -> throw IllegalArgumentException("model.json has fit ${input.fit}, which this app does not know")
    }
}

/**
 * A picture as the net sees it, resized as keras_resnet does it in Python: bilinear, antialiased when it shrinks.
 *
 * [argb] has a pixel in every Int, as `Bitmap.getPixels` gives them. The result is RGB, row by row.
 */
fun framed(argb: IntArray, width: Int, height: Int, input: Input): ByteArray {
    val part = part(width, height, input)
    val columns = weights(part.width, input.width)
    val rows = weights(part.height, input.height)
    val narrow = FloatArray(part.height * input.width * 3) { GREY.toFloat() }
    val beyond = GREY * 0x010101
    for (y in 0 until part.height) {
        val row = part.top + y
        if (row !in 0 until height) continue
        for (x in 0 until input.width) {
            val column = columns[x]
            var red = 0f
            var green = 0f
            var blue = 0f
            column.factors.forEachIndexed { i, factor ->
                val place = part.left + column.first + i
                val pixel = if (place in 0 until width) argb[row * width + place] else beyond
                red += factor * (pixel shr 16 and 0xff)
                green += factor * (pixel shr 8 and 0xff)
                blue += factor * (pixel and 0xff)
            }
            val place = (y * input.width + x) * 3
            narrow[place] = red
            narrow[place + 1] = green
            narrow[place + 2] = blue
        }
    }
    val stride = input.width * 3
    val result = ByteArray(input.height * stride)
    for (y in 0 until input.height) {
        val row = rows[y]
        for (i in 0 until stride) {
            var sum = 0f
            row.factors.forEachIndexed { k, factor -> sum += factor * narrow[(row.first + k) * stride + i] }
            result[y * stride + i] = sum.roundToInt().coerceIn(0, 255).toByte()
        }
    }
    return result
}

/** RGB pixels as the float values that the net was trained with. */
fun normalized(rgb: ByteArray, input: Input): FloatArray = FloatArray(rgb.size) { i ->
    val channel = i % 3
    val source = if (input.isBgr) i - channel + 2 - channel else i
    ((rgb[source].toInt() and 0xff) - input.mean[channel]) / input.std[channel]
}

/** Float values as an int8 tensor has them. */
fun quantized(values: FloatArray, tensor: Tensor): ByteArray = ByteArray(values.size) { i ->
    (round(values[i] / tensor.scale) + tensor.zeroPoint).coerceIn(-128f, 127f).toInt().toByte()
}

/** An int8 tensor as float values. */
fun dequantized(values: ByteArray, tensor: Tensor): FloatArray =
    FloatArray(values.size) { i -> (values[i] - tensor.zeroPoint) * tensor.scale }
