package com.example.classifier

import android.Manifest
import android.content.ActivityNotFoundException
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.ImageDecoder
import android.graphics.Paint
import android.net.Uri
import android.os.Bundle
import android.os.SystemClock
import android.text.SpannableStringBuilder
import android.text.Spanned
import android.text.style.ForegroundColorSpan
import android.widget.Button
import android.widget.ImageView
import android.widget.Switch
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts
import androidx.core.content.FileProvider
import java.io.File
import java.util.concurrent.Executors

/**
 * Choose or take a picture, or let the camera run: see the best classes, the mask or the objects over it, and the time.
 *
 * The model has its own thread.
 */
class MainActivity : ComponentActivity() {
    private val worker = Executors.newSingleThreadExecutor()
    private var net: Net? = null // touched by the worker only

    private val picker = registerForActivityResult(ActivityResultContracts.PickVisualMedia()) { uri: Uri? ->
        if (uri != null) answer(uri)
    }

    private val photo: Uri by lazy { FileProvider.getUriForFile(this, "$packageName.photos", File(cacheDir, "photo.jpg")) }
    private val camera = registerForActivityResult(ActivityResultContracts.TakePicture()) { taken: Boolean ->
        if (taken) answer(photo)
    }

    private val live by lazy {
        LiveCamera(
            this, worker,
            onFrame = { frame -> attempt { answer(frame) } },
            onError = { error ->
                show(R.id.status, "No camera: ${error.message}")
                findViewById<Switch>(R.id.live).isChecked = false
            },
        )
    }

    private var onPermitted = {}
    private val permission = registerForActivityResult(ActivityResultContracts.RequestPermission()) { granted: Boolean ->
        if (granted) {
            onPermitted()
        } else {
            show(R.id.status, getString(R.string.refused))
            findViewById<Switch>(R.id.live).isChecked = false
        }
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        val running = findViewById<Switch>(R.id.live)
        findViewById<Button>(R.id.choose).setOnClickListener {
            running.isChecked = false
            picker.launch(PickVisualMediaRequest(ActivityResultContracts.PickVisualMedia.ImageOnly))
        }
        findViewById<Button>(R.id.take).setOnClickListener {
            running.isChecked = false
            permitted {
                try {
                    camera.launch(photo)
                } catch (error: ActivityNotFoundException) {
                    show(R.id.status, "No camera app: ${error.message}")
                }
            }
        }
        running.setOnCheckedChangeListener { _, isChecked ->
            findViewById<ImageView>(R.id.image).keepScreenOn = isChecked
            if (isChecked) permitted { if (running.isChecked) live.start() } else live.stop()
        }
        findViewById<Switch>(R.id.gpu).setOnCheckedChangeListener { _, isChecked -> load(isChecked) }
        load(useGpu = false)
    }

    override fun onDestroy() {
        live.stop()
        worker.execute { net?.close() }
        worker.shutdown()
        super.onDestroy()
    }

    /** Asks for the camera, which an app that may use it must do before another one takes a picture for it, too. */
    private fun permitted(then: () -> Unit) {
        onPermitted = then
        permission.launch(Manifest.permission.CAMERA)
    }

    private fun load(useGpu: Boolean) {
        show(R.id.status, getString(R.string.loading))
        work {
            net?.close()
            net = null
            val model = Model.read { assets.open("$FOLDER/$it") }
            val engine = LiteRtEngine(assets, "$FOLDER/${model.file}", useGpu)
            val made = when (model.task) {
                "segmentation" -> Segmenter(model, engine)
                "detection" -> Detector(model, engine)
                else -> Classifier(model, engine)
            }
            net = made
            val (apart, held) = made.selfTest()
            val verdict = if (held) "Self-test held" else "Self-test FAILED: do not trust this accelerator with this file"
            show(R.id.status, "${model.file} on the ${if (useGpu) "GPU" else "CPU"}. $verdict (largest difference $apart).")
            runOnUiThread {
                for (each in listOf(R.id.choose, R.id.take, R.id.live)) findViewById<Button>(each).isEnabled = held
                if (!held) findViewById<Switch>(R.id.live).isChecked = false
            }
        }
    }

    private fun answer(uri: Uri): Unit = work {
        val source = ImageDecoder.createSource(contentResolver, uri)
        val bitmap = ImageDecoder.decodeBitmap(source) { decoder, info, _ ->
            decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE // pixels must be readable
            decoder.setTargetSampleSize(maxOf(1, minOf(info.size.width, info.size.height) / LARGEST))
        }.copy(Bitmap.Config.ARGB_8888, false)
        val argb = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(argb, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        answer(Frame(argb, bitmap.width, bitmap.height))
    }

    /** Shows a frame, and what the net says of it; on the worker. */
    private fun answer(frame: Frame) {
        val ready = net ?: return // it is being loaded
        val start = SystemClock.elapsedRealtimeNanos()
        val pixels = framed(frame.argb, frame.width, frame.height, ready.model.input)
        val (shown, words) = when (ready) {
            is Segmenter -> {
                val classes = ready.segment(pixels)
                val mask = mapped(classes, frame.width, frame.height, ready.model.input)
                bitmap(frame, overlaid(frame.argb, mask, ready.model.colours)) to legend(ready.model, classes)
            }
            is Detector -> {
                val found = mapped(ready.detect(pixels), frame.width, frame.height, ready.model.input)
                val drawn = bitmap(frame, outlined(frame.argb, frame.width, frame.height, found, ready.model.colours))
                named(drawn.copy(Bitmap.Config.ARGB_8888, true), ready.model, found) to objects(ready.model, found)
            }
            is Classifier -> {
                val lines = ready.classify(pixels).map { "%5.1f %%  %s\n".format(100 * it.probability, it.label) }
                bitmap(frame, frame.argb) to SpannableStringBuilder(lines.joinToString(""))
            }
            else -> return
        }
        val milliseconds = (SystemClock.elapsedRealtimeNanos() - start) / 1e6
        show(R.id.answer, words.append("%.1f ms".format(milliseconds)))
        runOnUiThread { findViewById<ImageView>(R.id.image).setImageBitmap(shown) }
    }

    private fun bitmap(frame: Frame, argb: IntArray) =
        Bitmap.createBitmap(argb, frame.width, frame.height, Bitmap.Config.ARGB_8888)

    /** Names and scores over the boxes, or in them where the picture ends. */
    private fun named(bitmap: Bitmap, model: Model, found: List<Found>): Bitmap {
        val canvas = Canvas(bitmap)
        val paint = Paint(Paint.ANTI_ALIAS_FLAG)
        paint.textSize = maxOf(SMALLEST, minOf(bitmap.width, bitmap.height) / LETTERS)
        val height = 1.3f * paint.textSize
        for (each in found.reversed()) {
            val words = "%s %.2f".format(model.labels[each.index], each.score)
            val width = paint.measureText(words) + 0.6f * paint.textSize
            val left = maxOf(0f, minOf(each.left, bitmap.width - width))
            val top = if (each.top >= height) each.top - height else each.top
            paint.color = model.colours[each.index]
            canvas.drawRect(left, top, left + width, top + height, paint)
            paint.color = if (Color.luminance(model.colours[each.index]) > HALF) Color.BLACK else Color.WHITE
            canvas.drawText(words, left + 0.3f * paint.textSize, top + paint.textSize, paint)
        }
        return bitmap
    }

    private fun objects(model: Model, found: List<Found>) = SpannableStringBuilder().apply {
        if (found.isEmpty()) append("No object with a score of %.0f %% or more.\n".format(100 * (model.limits?.threshold ?: 0f)))
        for (each in found.take(LISTED)) {
            append("\u25a0 ", ForegroundColorSpan(model.colours[each.index]), Spanned.SPAN_EXCLUSIVE_EXCLUSIVE)
            append("%5.1f %%  %s\n".format(100 * each.score, model.labels[each.index]))
        }
        if (found.size > LISTED) append("${found.size} objects, $LISTED of them here.\n")
    }

    private fun legend(model: Model, classes: ByteArray) = SpannableStringBuilder().apply {
        for (each in shares(classes)) {
            append("\u25a0 ", ForegroundColorSpan(model.colours[each.index]), Spanned.SPAN_EXCLUSIVE_EXCLUSIVE)
            append("%5.1f %%  %s\n".format(100 * each.share, model.labels[each.index]))
        }
    }

    private fun work(task: () -> Unit) = worker.execute { attempt(task) }

    private fun attempt(task: () -> Unit): Unit = try {
        task()
    } catch (error: Exception) { // LiteRT throws its own; a person must see what is wrong
        show(R.id.status, "Error: ${error.message}")
    }

    private fun show(view: Int, text: CharSequence) = runOnUiThread { findViewById<TextView>(view).text = text }

    private companion object {
        const val FOLDER = "model" // in assets: what python -m export --target android wrote
        const val LARGEST = 2048 // shorter side of photos, for the sake of memory
        const val LISTED = 20 // objects in words
        const val LETTERS = 28f // of a picture's shorter side, the height of names
        const val SMALLEST = 10f
        const val HALF = 0.18f // luminance from which black letters are read more easily
    }
}
