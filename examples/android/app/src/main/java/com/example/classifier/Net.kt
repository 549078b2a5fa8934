package com.example.classifier

import kotlin.math.abs

/** Runs a file: the input tensor is set, outputs are read by their place, as floats or int8 as the file has them. */
interface Engine : AutoCloseable {
    fun setFloat(values: FloatArray)

    fun setInt8(values: ByteArray)

    fun run()

    fun getFloat(output: Int): FloatArray

    fun getInt8(output: Int): ByteArray
}

/** How far a phone is from the exporter: the output that is furthest, by its tolerance. */
data class Verdict(val apart: Float, val held: Boolean)

/** A model on an engine: pixels in, numbers out. */
open class Net(val model: Model, private val engine: Engine) : AutoCloseable {
    /** The numbers of every output for RGB [pixels] of the net's size. */
    fun outputs(pixels: ByteArray): List<FloatArray> {
        val values = normalized(pixels, model.input)
        val input = model.input.tensor
        if (input.isQuantized) engine.setInt8(quantized(values, input)) else engine.setFloat(values)
        engine.run()
        return model.outputs.mapIndexed { n, tensor ->
            if (tensor.isQuantized) dequantized(engine.getInt8(n), tensor) else engine.getFloat(n)
        }
    }

    /** Probabilities for RGB [pixels] of the net's size: of classes, or of the classes of every pixel. */
    fun probabilities(pixels: ByteArray): FloatArray = outputs(pixels).single()

    /** The largest difference from the exporter's golden vectors: does this phone compute what was exported? */
    fun selfTest(): Verdict {
        val golden = model.golden
        val size = golden.pixels.size / golden.count
        val apart = FloatArray(golden.outputs.size)
        for (n in 0 until golden.count) {
            val found = outputs(golden.pixels.copyOfRange(n * size, (n + 1) * size))
            golden.outputs.forEachIndexed { output, expected ->
                val numbers = expected.values.size / golden.count
                if (found[output].size != numbers) apart[output] = Float.POSITIVE_INFINITY // another output
                for (i in 0 until minOf(numbers, found[output].size)) {
                    apart[output] = maxOf(apart[output], abs(found[output][i] - expected.values[n * numbers + i]))
                }
            }
        }
        val worst = apart.indices.maxBy { apart[it] / golden.outputs[it].tolerance }
        return Verdict(apart[worst], apart.indices.all { apart[it] <= golden.outputs[it].tolerance })
    }

    override fun close() = engine.close()
}
