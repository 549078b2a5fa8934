package com.example.classifier

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel

/** LiteRT's CompiledModel. On the GPU, what it does not have runs on the processor. */
class LiteRtEngine(assets: AssetManager, file: String, useGpu: Boolean) : Engine {
    private val compiled = CompiledModel.create(
        assets,
        file,
        if (useGpu) CompiledModel.Options(Accelerator.GPU, Accelerator.CPU) else CompiledModel.Options(Accelerator.CPU),
        null,
    )
    private val inputs = compiled.createInputBuffers()
    private val outputs = compiled.createOutputBuffers()

    override fun setFloat(values: FloatArray) = inputs[0].writeFloat(values)

    override fun setInt8(values: ByteArray) = inputs[0].writeInt8(values)

    override fun run() = compiled.run(inputs, outputs)

    override fun getFloat(output: Int): FloatArray = outputs[output].readFloat() // in the order of model.json

    override fun getInt8(output: Int): ByteArray = outputs[output].readInt8()

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        compiled.close()
    }
}
