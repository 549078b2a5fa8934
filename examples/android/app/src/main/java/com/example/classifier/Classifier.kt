package com.example.classifier

import kotlin.math.abs

/** Runs a file: the input tensor's values in, the output tensor's out. Floats or int8 as the file has them. */
interface Engine : AutoCloseable {
    fun run(values: FloatArray): FloatArray

    fun run(values: ByteArray): ByteArray

    fun runToFloat(values: ByteArray): FloatArray

    fun runToInt8(values: FloatArray): ByteArray
}

data class Category(val label: String, val probability: Float)

/** A model on an engine: pixels in, probabilities out. */
class Classifier(val model: Model, private val engine: Engine) : AutoCloseable {
    /** Probabilities for RGB [pixels] of the net's size. */
    fun probabilities(pixels: ByteArray): FloatArray {
        val values = normalized(pixels, model.input)
        val output = model.output
        if (!model.input.tensor.isQuantized) {
            return if (output.isQuantized) dequantized(engine.runToInt8(values), output) else engine.run(values)
        }
        val bytes = quantized(values, model.input.tensor)
        return if (output.isQuantized) dequantized(engine.run(bytes), output) else engine.runToFloat(bytes)
    }

    /** The best classes, best first. */
    fun classify(pixels: ByteArray, count: Int = 5): List<Category> {
        val found = probabilities(pixels)
        return found.indices.sortedByDescending { found[it] }.take(count).map { Category(model.labels[it], found[it]) }
    }

    /** The largest difference from the exporter's golden vectors: does this phone compute what was exported? */
    fun selfTest(): Float {
        val golden = model.golden
        val size = golden.pixels.size / golden.count
        val classes = model.labels.size
        var apart = 0f
        for (n in 0 until golden.count) {
            val found = probabilities(golden.pixels.copyOfRange(n * size, (n + 1) * size))
            found.forEachIndexed { i, value -> apart = maxOf(apart, abs(value - golden.probabilities[n * classes + i])) }
        }
        return apart
    }

    override fun close() = engine.close()
}
