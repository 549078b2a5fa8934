package com.example.classifier

import kotlin.math.abs

/** Runs a file: the input tensor is set, the output tensor is read, as floats or int8 as the file has them. */
interface Engine : AutoCloseable {
    fun setFloat(values: FloatArray)

    fun setInt8(values: ByteArray)

    fun run()

    fun getFloat(): FloatArray

    fun getInt8(): ByteArray
}

/** A model on an engine: pixels in, numbers out. */
open class Net(val model: Model, private val engine: Engine) : AutoCloseable {
    /** Probabilities for RGB [pixels] of the net's size: of classes, or of the classes of every pixel. */
    fun probabilities(pixels: ByteArray): FloatArray {
        val values = normalized(pixels, model.input)
        val input = model.input.tensor
        if (input.isQuantized) engine.setInt8(quantized(values, input)) else engine.setFloat(values)
        engine.run()
        return if (model.output.isQuantized) dequantized(engine.getInt8(), model.output) else engine.getFloat()
    }

    /** The largest difference from the exporter's golden vectors: does this phone compute what was exported? */
    fun selfTest(): Float {
        val golden = model.golden
        val size = golden.pixels.size / golden.count
        val numbers = golden.probabilities.size / golden.count
        var apart = 0f
        for (n in 0 until golden.count) {
            val found = probabilities(golden.pixels.copyOfRange(n * size, (n + 1) * size))
            found.forEachIndexed { i, value -> apart = maxOf(apart, abs(value - golden.probabilities[n * numbers + i])) }
        }
        return apart
    }

    override fun close() = engine.close()
}
