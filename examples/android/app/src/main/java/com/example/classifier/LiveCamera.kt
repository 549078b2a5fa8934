package com.example.classifier

import androidx.activity.ComponentActivity
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.core.content.ContextCompat
import java.util.concurrent.Executor

/**
 * Frames of the camera on the back, upright, to [onFrame] on the [worker]; those that come while one is worked on are dropped.
 *
 * CameraX stops it while the activity is not seen. [onError] is told where there is no such camera.
 */
class LiveCamera(
    private val activity: ComponentActivity,
    private val worker: Executor,
    private val onFrame: (Frame) -> Unit,
    private val onError: (Exception) -> Unit,
) {
    private var provider: ProcessCameraProvider? = null // touched by the main thread only
    private var isWanted = false

    fun start() {
        isWanted = true
        val coming = ProcessCameraProvider.getInstance(activity)
        coming.addListener({
            try {
                provider = coming.get()
                if (isWanted) bind(coming.get())
            } catch (error: Exception) { // no camera, or another app has it
                onError(error)
            }
        }, ContextCompat.getMainExecutor(activity))
    }

    fun stop() {
        isWanted = false
        provider?.unbindAll()
    }

    private fun bind(provider: ProcessCameraProvider) {
        val analysis = ImageAnalysis.Builder()
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
            .build()
        analysis.setAnalyzer(worker) { image ->
            image.use {
                val plane = it.planes[0]
                onFrame(frame(plane.buffer, it.width, it.height, plane.rowStride).turned(it.imageInfo.rotationDegrees))
            }
        }
        provider.unbindAll()
        provider.bindToLifecycle(activity, CameraSelector.DEFAULT_BACK_CAMERA, analysis)
    }
}
