package com.example.classifier

import android.graphics.Bitmap
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Bundle
import android.os.SystemClock
import android.widget.Button
import android.widget.ImageView
import android.widget.Switch
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts
import java.util.concurrent.Executors

/** Choose an image, see the five best classes and the time. The model lives on a thread of its own. */
class MainActivity : ComponentActivity() {
    private val worker = Executors.newSingleThreadExecutor()
    private var classifier: Classifier? = null // touched by the worker only

    private val picker = registerForActivityResult(ActivityResultContracts.PickVisualMedia()) { uri: Uri? ->
        if (uri != null) classify(uri)
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        findViewById<Button>(R.id.choose).setOnClickListener {
            picker.launch(PickVisualMediaRequest(ActivityResultContracts.PickVisualMedia.ImageOnly))
        }
        findViewById<Switch>(R.id.gpu).setOnCheckedChangeListener { _, isChecked -> load(isChecked) }
        load(useGpu = false)
    }

    override fun onDestroy() {
        worker.execute { classifier?.close() }
        worker.shutdown()
        super.onDestroy()
    }

    private fun load(useGpu: Boolean) {
        show(R.id.status, getString(R.string.loading))
        work {
            classifier?.close()
            classifier = null
            val model = Model.read { assets.open("$FOLDER/$it") }
            val made = Classifier(model, LiteRtEngine(assets, "$FOLDER/${model.file}", useGpu))
            classifier = made
            val apart = made.selfTest()
            val held = apart <= model.golden.tolerance
            val verdict = if (held) "Self-test held" else "Self-test FAILED: do not trust this accelerator with this file"
            show(R.id.status, "${model.file} on the ${if (useGpu) "GPU" else "CPU"}. $verdict (largest difference $apart).")
            runOnUiThread { findViewById<Button>(R.id.choose).isEnabled = held }
        }
    }

    private fun classify(uri: Uri) = work {
        val source = ImageDecoder.createSource(contentResolver, uri)
        val bitmap = ImageDecoder.decodeBitmap(source) { decoder, info, _ ->
            decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE // pixels must be readable
            decoder.setTargetSampleSize(maxOf(1, minOf(info.size.width, info.size.height) / LARGEST))
        }.copy(Bitmap.Config.ARGB_8888, false)
        val ready = classifier ?: return@work
        val argb = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(argb, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        val pixels = central(argb, bitmap.width, bitmap.height, ready.model.input)
        val start = SystemClock.elapsedRealtimeNanos()
        val found = ready.classify(pixels)
        val milliseconds = (SystemClock.elapsedRealtimeNanos() - start) / 1e6
        val lines = found.map { "%5.1f %%  %s".format(100 * it.probability, it.label) }
        show(R.id.answer, (lines + "%.1f ms".format(milliseconds)).joinToString("\n"))
        runOnUiThread { findViewById<ImageView>(R.id.image).setImageBitmap(bitmap) }
    }

    private fun work(task: () -> Unit) = worker.execute {
        try {
            task()
        } catch (error: Exception) { // LiteRT throws its own; a person must see what is wrong
            show(R.id.status, "Error: ${error.message}")
        }
    }

    private fun show(view: Int, text: String) = runOnUiThread { findViewById<TextView>(view).text = text }

    private companion object {
        const val FOLDER = "model" // in assets: what python -m export --target android wrote
        const val LARGEST = 2048 // shorter side of photos, for the sake of memory
    }
}
