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

    override fun run(values: FloatArray): FloatArray {
        inputs[0].writeFloat(values)
        compiled.run(inputs, outputs)
        return outputs[0].readFloat()
    }

    override fun run(values: ByteArray): ByteArray {
        inputs[0].writeInt8(values)
        compiled.run(inputs, outputs)
        return outputs[0].readInt8()
    }

    override fun runToFloat(values: ByteArray): FloatArray {
        inputs[0].writeInt8(values)
        compiled.run(inputs, outputs)
        return outputs[0].readFloat()
    }

    override fun runToInt8(values: FloatArray): ByteArray {
        inputs[0].writeFloat(values)
        compiled.run(inputs, outputs)
        return outputs[0].readInt8()
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        compiled.close()
    }
}
