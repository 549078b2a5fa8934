package com.example.classifier

import kotlin.math.floor

private const val EQUAL = 1e-7f // a score that float32 has a little below the threshold is at it
private const val SIDES = 4
private const val THIN = 200 // lines are this fraction of a picture's shorter side

/** An object: its class, its score, and its sides, in 0..1 of the net's input or in pixels of a picture, ends exclusive. */
data class Found(val index: Int, val score: Float, val left: Float, val top: Float, val right: Float, val bottom: Float)

/** A net that says where objects are. */
class Detector(model: Model, engine: Engine) : Net(model, engine) {
    /** The objects in what the net sees, the surest first; their sides are in 0..1 of that. */
    fun detect(pixels: ByteArray): List<Found> {
        val (boxes, scores) = outputs(pixels)
        return found(boxes, scores, model.labels.size, checkNotNull(model.limits) { "model.json has no limits of objects" })
    }
}

/** Intersection over union; 0 where neither has an area. */
fun overlap(one: Found, other: Found): Float {
    val width = maxOf(0f, minOf(one.right, other.right) - maxOf(one.left, other.left))
    val height = maxOf(0f, minOf(one.bottom, other.bottom) - maxOf(one.top, other.top))
    fun area(each: Found) = (each.right - each.left) * (each.bottom - each.top)
    val union = area(one) + area(other) - width * height
    return if (union > 0) width * height / union else 0f
}

/** Objects of [boxes] and a score of every class for each: of boxes of a class that overlap the surest one stays. */
fun found(boxes: FloatArray, scores: FloatArray, classes: Int, limits: Limits): List<Found> {
    require(boxes.size * classes == scores.size * SIDES) { "${boxes.size / SIDES} boxes, ${scores.size} scores of $classes classes" }
    val candidates = scores.indices.filter { scores[it] > limits.threshold - EQUAL }.sortedByDescending { scores[it] }
    val kept = List(classes) { mutableListOf<Found>() }
    val all = mutableListOf<Found>()
    for (place in candidates.take(limits.candidates)) {
        val start = place / classes * SIDES
        val each = Found(place % classes, scores[place], boxes[start], boxes[start + 1], boxes[start + 2], boxes[start + 3])
        if (kept[each.index].any { overlap(it, each) > limits.overlap }) continue
        kept[each.index] += each
        all += each
        if (all.size == limits.most) break
    }
    return all
}

/** Objects in the pixels of a picture; what lies beyond it is cut off. */
fun mapped(found: List<Found>, width: Int, height: Int, input: Input): List<Found> {
    val part = part(width, height, input)
    fun across(side: Float) = (part.left + part.width * side).coerceIn(0f, width.toFloat())
    fun down(side: Float) = (part.top + part.height * side).coerceIn(0f, height.toFloat())
    return found.map { it.copy(left = across(it.left), top = down(it.top), right = across(it.right), bottom = down(it.bottom)) }
}

/** A picture with the boxes of objects in its pixels, the surest one over the others; lines lie inside the boxes. */
fun outlined(argb: IntArray, width: Int, height: Int, found: List<Found>, colours: List<Int>): IntArray {
    val drawn = argb.copyOf()
    val line = line(width, height)
    fun place(side: Float, most: Int) = floor(side + 0.5f).toInt().coerceIn(0, most)
    for (each in found.reversed()) {
        val columns = place(each.left, width) until place(each.right, width)
        val rows = place(each.top, height) until place(each.bottom, height)
        for (y in rows) {
            val isEdge = y - rows.first < line || rows.last - y < line
            for (x in columns) {
                if (isEdge || x - columns.first < line || columns.last - x < line) drawn[y * width + x] = colours[each.index]
            }
        }
    }
    return drawn
}

/** Thickness of the lines over a picture, in its pixels. */
fun line(width: Int, height: Int): Int = maxOf(2, minOf(width, height) / THIN)
