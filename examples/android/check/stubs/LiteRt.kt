@file:Suppress("UNUSED_PARAMETER", "unused")

package com.google.ai.edge.litert

import android.content.res.AssetManager

enum class Accelerator { NONE, CPU, GPU, NPU }

class Environment

class TensorBuffer : AutoCloseable {
    fun writeFloat(data: FloatArray) = Unit

    fun writeInt8(data: ByteArray) = Unit

    fun readFloat(): FloatArray = FloatArray(0)

    fun readInt8(): ByteArray = ByteArray(0)

    override fun close() = Unit
}

class CompiledModel private constructor() : AutoCloseable {
    class Options(vararg accelerators: Accelerator)

    fun createInputBuffers(): List<TensorBuffer> = emptyList()

    fun createOutputBuffers(): List<TensorBuffer> = emptyList()

    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>) = Unit

    override fun close() = Unit

    companion object {
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options,
            optionalEnv: Environment? = null,
        ): CompiledModel = CompiledModel()
    }
}
