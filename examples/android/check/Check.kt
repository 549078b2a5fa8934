import com.example.classifier.Classifier
import com.example.classifier.Engine
import com.example.classifier.Model
import com.example.classifier.Segmenter
import com.example.classifier.floats
import com.example.classifier.framed
import com.example.classifier.mapped
import com.example.classifier.normalized
import com.example.classifier.overlaid
import com.example.classifier.quantized
import com.example.classifier.shares
import java.io.File
import java.nio.ByteBuffer
import kotlin.math.abs
import kotlin.system.exitProcess

/** Answers with the golden outputs, in their order: everything around the engine is the app's own code. */
private class GoldenEngine(private val model: Model) : Engine {
    private var runs = 0

    override fun setFloat(values: FloatArray) = Unit

    override fun setInt8(values: ByteArray) = Unit

    override fun run() {
        runs++
    }

    override fun getFloat() = floats(getInt8())

    override fun getInt8(): ByteArray {
        val size = model.golden.output.size / model.golden.count
        val start = (runs - 1) % model.golden.count * size
        return model.golden.output.copyOfRange(start, start + size)
    }

    override fun close() = Unit
}

private var failed = 0

private fun check(name: String, held: Boolean, found: Any) {
    println("${if (held) "held  " else "FAILED"} $name: $found")
    if (!held) failed++
}

/**
 * The app's own code on a JVM: `Check FOLDER IMAGE.argb WIDTH HEIGHT EXPECTED.rgb [GOLDEN.classes MASK OVERLAY.rgb]`.
 *
 * The image is big-endian Ints as `Bitmap.getPixels` gives them, the expected file what Python's resize makes of it. Of a
 * net that draws masks there are also Python's classes of the golden images, a mask of diagonals in the image's own
 * pixels, and the image with that mask over it.
 */
fun main(arguments: Array<String>) {
    val folder = File(arguments[0])
    val model = Model.read { File(folder, it).inputStream() }
    val golden = model.golden
    check("the file is there", File(folder, model.file).exists(), model.file)
    check("labels", model.labels.isNotEmpty(), "${model.labels.size}, first ${model.labels.first()}")

    val values = normalized(golden.pixels, model.input)
    val apart = if (model.input.tensor.isQuantized) {
        quantized(values, model.input.tensor).indices.maxOf { abs(quantized(values, model.input.tensor)[it] - golden.input[it]) }.toFloat()
    } else {
        val expected = floats(golden.input)
        values.indices.maxOf { abs(values[it] - expected[it]) }
    }
    check("pixels become the golden input", apart <= (if (model.input.tensor.isQuantized) 1f else 1e-4f), "$apart apart")

    val net = if (model.task == "segmentation") Segmenter(model, GoldenEngine(model)) else Classifier(model, GoldenEngine(model))
    val difference = net.selfTest()
    check("outputs become the golden probabilities", difference <= 1e-6f, "$difference apart")
    val size = golden.pixels.size / golden.count
    val examples = List(golden.count) { n -> golden.pixels.copyOfRange(n * size, (n + 1) * size) }
    if (net is Classifier) {
        val best = examples.map { net.classify(it, 1).first().label }
        check("top-1", best == golden.top1.map { model.labels[it] }, best.joinToString())
    }

    val ints = ByteBuffer.wrap(File(arguments[1]).readBytes()).asIntBuffer()
    val argb = IntArray(ints.remaining()).also { ints.get(it) }
    val width = arguments[2].toInt()
    val height = arguments[3].toInt()
    val most = apart(framed(argb, width, height, model.input), File(arguments[4]).readBytes())
    check("a photo is resized as in Python", most <= 1, "at most $most apart")
    if (net is Segmenter) {
        val masks = examples.map { net.segment(it) }
        val known = File(arguments[5]).readBytes()
        val found = masks.reduce { all, each -> all + each }
        check("classes of pixels", found.contentEquals(known), "${known.size} pixels")
        check("shares of the legend add up", abs(shares(masks.first()).sumOf { it.share.toDouble() } - 1) < 1e-4, "1")
        val pattern = ByteArray(model.input.height * model.input.width) { ((it / model.input.width + it % model.input.width) % 3).toByte() }
        val mask = mapped(pattern, width, height, model.input)
        val expected = File(arguments[6]).readBytes()
        val equal = mask.indices.count { mask[it] == expected[it] }.toDouble() / expected.size
        check("the mask in the photo's own pixels", mask.size == expected.size && equal >= 0.995, "${100 * equal} % as in Python")
        val over = overlaid(argb, expected, model.colours)
        val rgb = ByteArray(3 * over.size) { (over[it / 3] shr (16 - 8 * (it % 3)) and 0xff).toByte() }
        val unlike = apart(rgb, File(arguments[7]).readBytes())
        check("the mask over the photo", unlike <= 1, "at most $unlike apart")
    }
    exitProcess(if (failed == 0) 0 else 1)
}

/** The largest difference of two arrays of unsigned bytes; more than any where their sizes differ. */
private fun apart(found: ByteArray, expected: ByteArray): Int =
    if (found.size != expected.size) 256 else found.indices.maxOf { abs((found[it].toInt() and 0xff) - (expected[it].toInt() and 0xff)) }
