@file:Suppress("UNUSED_PARAMETER", "unused")

package androidx.camera.core

import java.nio.ByteBuffer
import java.util.concurrent.Executor

open class UseCase

interface Camera

interface ImageInfo { val rotationDegrees: Int }

interface ImageProxy : AutoCloseable {
    interface PlaneProxy {
        val rowStride: Int
        val pixelStride: Int
        val buffer: ByteBuffer
    }

    val width: Int
    val height: Int
    val planes: Array<PlaneProxy>
    val imageInfo: ImageInfo
}

class CameraSelector {
    companion object { val DEFAULT_BACK_CAMERA = CameraSelector() }
}

class ImageAnalysis : UseCase() {
    fun interface Analyzer { fun analyze(image: ImageProxy) }

    class Builder {
        fun setBackpressureStrategy(strategy: Int) = this

        fun setOutputImageFormat(format: Int) = this

        fun build() = ImageAnalysis()
    }

    fun setAnalyzer(executor: Executor, analyzer: Analyzer) = Unit

    companion object {
        const val STRATEGY_KEEP_ONLY_LATEST = 0
        const val OUTPUT_IMAGE_FORMAT_RGBA_8888 = 2
    }
}
