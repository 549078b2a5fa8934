package com.example.classifier

import kotlin.math.floor
import kotlin.math.roundToInt

/** Value of a mask where the net saw nothing. */
const val UNSEEN: Byte = -1

/** Share of the pixels that are of a class. */
data class Share(val index: Int, val share: Float)

/** A net that says of which class every pixel is. */
class Segmenter(model: Model, engine: Engine) : Net(model, engine) {
    /** The class of every pixel that the net sees, row by row. */
    fun segment(pixels: ByteArray): ByteArray = classes(probabilities(pixels), model.labels.size)
}

/** The class of every pixel by its probabilities; one class alone is there where it is likelier than not. */
fun classes(probabilities: FloatArray, count: Int): ByteArray = ByteArray(probabilities.size / count) { n ->
    var best = 0
    for (c in 1 until count) if (probabilities[n * count + c] > probabilities[n * count + best]) best = c
    if (count == 1 && probabilities[n] > 0.5f) 1 else best.toByte()
}

/** A mask in the pixels of a picture: each has the class of the nearest pixel of the net, [UNSEEN] where it saw nothing. */
fun mapped(classes: ByteArray, width: Int, height: Int, input: Input): ByteArray {
    val part = part(width, height, input)
    fun places(count: Int, first: Int, from: Int, to: Int) = IntArray(count) { n ->
        val place = floor((n + 0.5 - first) * to / from).toInt()
        if (place < to) place else -1
    }
    val columns = places(width, part.left, part.width, input.width)
    val rows = places(height, part.top, part.height, input.height)
    return ByteArray(width * height) { n ->
        val row = rows[n / width]
        val column = columns[n % width]
        if (row < 0 || column < 0) UNSEEN else classes[row * input.width + column]
    }
}

/** Pixels with their mask over them; those that are [UNSEEN] stay as they are. */
fun overlaid(argb: IntArray, mask: ByteArray, colours: List<Int>, strength: Float = 0.55f): IntArray {
    fun mixed(under: Int, over: Int, shift: Int): Int {
        val value = (1 - strength) * (under shr shift and 0xff) + strength * (over shr shift and 0xff)
        return value.roundToInt() shl shift
    }
    return IntArray(argb.size) { n ->
        val colour = colours.getOrNull(mask[n].toInt() and 0xff)
        val under = argb[n]
        if (colour == null) under else 0xff shl 24 or mixed(under, colour, 16) or mixed(under, colour, 8) or mixed(under, colour, 0)
    }
}

/** The legend: the classes that a mask has, the largest first. */
fun shares(classes: ByteArray): List<Share> {
    val counts = IntArray(256)
    classes.forEach { counts[it.toInt() and 0xff]++ }
    return counts.indices.filter { counts[it] > 0 }.sortedByDescending { counts[it] }
        .map { Share(it, counts[it].toFloat() / classes.size) }
}
