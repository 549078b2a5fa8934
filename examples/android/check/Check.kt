import com.example.classifier.Classifier
import com.example.classifier.Detector
import com.example.classifier.Engine
import com.example.classifier.Found
import com.example.classifier.Model
import com.example.classifier.Segmenter
import com.example.classifier.floats
import com.example.classifier.frame
import com.example.classifier.framed
import com.example.classifier.mapped
import com.example.classifier.normalized
import com.example.classifier.outlined
import com.example.classifier.overlaid
import com.example.classifier.quantized
import com.example.classifier.shares
import com.example.classifier.turned
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

    override fun getFloat(output: Int) = floats(getInt8(output))

    override fun getInt8(output: Int): ByteArray {
        val raw = model.golden.outputs[output].raw
        val size = raw.size / model.golden.count
        val start = (runs - 1) % model.golden.count * size
        return raw.copyOfRange(start, start + size)
    }

    override fun close() = Unit
}

private var failed = 0

private fun check(name: String, held: Boolean, found: Any) {
    println("${if (held) "held  " else "FAILED"} $name: $found")
    if (!held) failed++
}

/**
 * The app's own code on a JVM: `Check FOLDER IMAGE.argb WIDTH HEIGHT EXPECTED.rgb [GOLDEN IN_PLACE OVERLAY.rgb]`.
 *
 * The image is big-endian Ints as `Bitmap.getPixels` gives them, the expected file what Python's resize makes of it. Of a
 * net that draws masks there are also Python's classes of the golden images, a mask of diagonals in the image's own
 * pixels, and the image with that mask over it. Of a net that finds objects there are Python's objects in the golden images,
 * a line for each (image, class, score, and four sides in 0..1), those of the first one in the image's own pixels, and the
 * image with their boxes.
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

    val net = when (model.task) {
        "segmentation" -> Segmenter(model, GoldenEngine(model))
        "detection" -> Detector(model, GoldenEngine(model))
        else -> Classifier(model, GoldenEngine(model))
    }
    val difference = net.selfTest()
    check("outputs become the golden probabilities", difference.held && difference.apart <= 1e-6f, "${difference.apart} apart")
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
    frames()
    val files = arguments.drop(5).map { File(it) }
    if (net is Segmenter) masks(net, examples, argb, width, height, files)
    if (net is Detector) objects(net, examples, argb, width, height, files)
    exitProcess(if (failed == 0) 0 else 1)
}

/** Two rows of three pixels, with padding behind each, as cameras give them. */
private fun frames() {
    val stride = 16
    val rgba = ByteBuffer.allocate(2 * stride)
    for (n in 0 until 6) for (channel in 0 until 4) rgba.put(n / 3 * stride + n % 3 * 4 + channel, (10 * n + channel).toByte())
    val seen = frame(rgba, 3, 2, stride)
    check("channels of a frame", seen.argb[4] == (0xff shl 24 or (40 shl 16) or (41 shl 8) or 42), seen.argb[4].toUInt())
    val expected = mapOf(
        0 to listOf(listOf(0, 1, 2), listOf(3, 4, 5)),
        90 to listOf(listOf(3, 0), listOf(4, 1), listOf(5, 2)), // clockwise: what was on the left is above
        180 to listOf(listOf(5, 4, 3), listOf(2, 1, 0)),
        270 to listOf(listOf(2, 5), listOf(1, 4), listOf(0, 3)),
    )
    val wrong = expected.filter { (degrees, rows) ->
        val turned = seen.turned(degrees)
        val numbers = turned.argb.map { (it shr 16 and 0xff) / 10 }.chunked(turned.width)
        numbers != rows || turned.height != rows.size
    }
    check("frames stand upright", wrong.isEmpty(), if (wrong.isEmpty()) "by 0, 90, 180, 270 degrees" else "not by ${wrong.keys}")
}

private fun masks(net: Segmenter, examples: List<ByteArray>, argb: IntArray, width: Int, height: Int, files: List<File>) {
    val (classes, places, overlay) = files.map { it.readBytes() }
    val input = net.model.input
    val masks = examples.map { net.segment(it) }
    val found = masks.reduce { all, each -> all + each }
    check("classes of pixels", found.contentEquals(classes), "${classes.size} pixels")
    check("shares of the legend add up", abs(shares(masks.first()).sumOf { it.share.toDouble() } - 1) < 1e-4, "1")
    val pattern = ByteArray(input.height * input.width) { ((it / input.width + it % input.width) % 3).toByte() }
    val mask = mapped(pattern, width, height, input)
    val equal = mask.indices.count { mask[it] == places[it] }.toDouble() / places.size
    check("the mask in the photo's own pixels", mask.size == places.size && equal >= 0.995, "${100 * equal} % as in Python")
    val unlike = apart(rgb(overlaid(argb, places, net.model.colours)), overlay)
    check("the mask over the photo", unlike <= 1, "at most $unlike apart")
}

private fun objects(net: Detector, examples: List<ByteArray>, argb: IntArray, width: Int, height: Int, files: List<File>) {
    val (golden, places) = files.take(2).map { file -> file.readLines().map { line -> line.split(" ") } }
    fun known(row: List<String>) = row.drop(2).map { it.toFloat() }.let { Found(row[1].toInt(), it[0], it[1], it[2], it[3], it[4]) }
    val found = examples.map { net.detect(it) }
    val same = found.withIndex().all { (n, own) -> alike(own, golden.filter { it[0].toInt() == n }.map(::known), 1e-5f) }
    check("objects", same && golden.isNotEmpty(), "${found.sumOf { it.size }} of ${golden.size}")
    val first = golden.filter { it[0] == "0" }.map(::known)
    val placed = mapped(first, width, height, net.model.input)
    check("objects in the photo's own pixels", alike(placed, places.map(::known), 0.01f), "${placed.size} of ${places.size}")
    val drawn = rgb(outlined(argb, width, height, places.map(::known), net.model.colours))
    val overlay = files[2].readBytes()
    val equal = drawn.indices.count { drawn[it] == overlay[it] }.toDouble() / overlay.size
    check("boxes over the photo", drawn.size == overlay.size && equal >= 0.999, "${100 * equal} % as in Python")
}

/** Whether objects are the same, in the same order, their sides no further apart than [near]. */
private fun alike(own: List<Found>, known: List<Found>, near: Float): Boolean = own.size == known.size && own.zip(known).all { (a, b) ->
    val sides = listOf(a.left - b.left, a.top - b.top, a.right - b.right, a.bottom - b.bottom)
    a.index == b.index && abs(a.score - b.score) <= 1e-5f && sides.all { abs(it) <= near }
}

private fun rgb(argb: IntArray) = ByteArray(3 * argb.size) { (argb[it / 3] shr (16 - 8 * (it % 3)) and 0xff).toByte() }

/** The largest difference of two arrays of unsigned bytes; more than any where their sizes differ. */
private fun apart(found: ByteArray, expected: ByteArray): Int =
    if (found.size != expected.size) 256 else found.indices.maxOf { abs((found[it].toInt() and 0xff) - (expected[it].toInt() and 0xff)) }
