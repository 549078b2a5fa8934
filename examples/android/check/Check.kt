import com.example.classifier.Classifier
import com.example.classifier.Engine
import com.example.classifier.Model
import com.example.classifier.central
import com.example.classifier.floats
import com.example.classifier.normalized
import com.example.classifier.quantized
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
 * The app's own code on a JVM: `Check FOLDER [IMAGE.argb WIDTH HEIGHT EXPECTED.rgb]`.
 *
 * The image is big-endian Ints as `Bitmap.getPixels` gives them, the expected file what Python's resize makes of it.
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

    val classifier = Classifier(model, GoldenEngine(model))
    val difference = classifier.selfTest()
    check("outputs become the golden probabilities", difference <= 1e-6f, "$difference apart")
    val size = golden.pixels.size / golden.count
    val best = (0 until golden.count).map { n ->
        classifier.classify(golden.pixels.copyOfRange(n * size, (n + 1) * size), 1).first().label
    }
    check("top-1", best == golden.top1.map { model.labels[it] }, best.joinToString())

    if (arguments.size > 1) {
        val ints = ByteBuffer.wrap(File(arguments[1]).readBytes()).asIntBuffer()
        val argb = IntArray(ints.remaining()).also { ints.get(it) }
        val found = central(argb, arguments[2].toInt(), arguments[3].toInt(), model.input)
        val expected = File(arguments[4]).readBytes()
        val most = found.indices.maxOf { abs((found[it].toInt() and 0xff) - (expected[it].toInt() and 0xff)) }
        check("a photo is resized as in Python", found.size == expected.size && most <= 1, "at most $most apart")
    }
    exitProcess(if (failed == 0) 0 else 1)
}
