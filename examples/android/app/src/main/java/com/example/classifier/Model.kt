package com.example.classifier

import java.io.InputStream
import java.util.Base64
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.double
import kotlinx.serialization.json.float
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

/** Dtype of a tensor, and `real = scale * (value - zeroPoint)` where it is quantized. */
data class Tensor(val name: String, val dtype: String, val scale: Float, val zeroPoint: Int) {
    val isQuantized get() = dtype == "int8"

    init {
        require(dtype == "float32" || dtype == "int8") {
            "this app takes float32 and int8 tensors, and $name is $dtype: export for the target android"
        }
    }
}

/** What the net takes: size, and `real = (pixel - mean) / std` per channel, in the weights' order of channels. */
data class Input(
    val tensor: Tensor,
    val height: Int,
    val width: Int,
    val mean: FloatArray,
    val std: FloatArray,
    val isBgr: Boolean,
    val crop: Double,
    val fit: String,
)

/** An output in the exporter's vectors: as the file has it, as floats, and the largest difference that is no error. */
class Expected(val raw: ByteArray, val values: FloatArray, val tolerance: Float)

/** Vectors of the exporter, for the app to test itself with; outputs in the order that the file has. */
class Golden(
    val count: Int,
    val pixels: ByteArray,
    val input: ByteArray,
    val outputs: List<Expected>,
    val top1: List<Int>,
)

/** What makes answers of boxes: the least score, the overlap from which the lower of two goes, and how many there are. */
data class Limits(val threshold: Float, val overlap: Float, val candidates: Int, val most: Int)

/**
 * What `model.json` of an exported folder says; nothing about a model is written into the app's code.
 *
 * Of a net that draws masks or finds objects, [colours] has one for each class, as `Bitmap` has them. [limits] are of a net
 * that finds objects, whose outputs are `boxes` and `scores`.
 */
class Model(
    val file: String,
    val task: String,
    val input: Input,
    val outputs: List<Tensor>,
    val labels: List<String>,
    val colours: List<Int>,
    val limits: Limits?,
    val golden: Golden,
) {
    companion object {
        private val TASKS = listOf("classification", "segmentation", "detection")

        /** Reads the folder; [open] gives a file of it by its name. */
        fun read(open: (String) -> InputStream): Model {
            val root = json(open, "model.json")
            require(root.getValue("version").jsonPrimitive.int == 1) { "model.json is of a newer exporter than this app" }
            require(root.text("format") == "tflite") { "this app runs .tflite files, and model.json names ${root.text("file")}" }
            val task = root.text("task")
            require(task in TASKS) { "this app shows answers of $TASKS, and the net is of $task" }
            val image = root.getValue("input").jsonObject
            val input = Input(
                tensor = tensor(image),
                height = image.getValue("height").jsonPrimitive.int,
                width = image.getValue("width").jsonPrimitive.int,
                mean = image.floats("mean"),
                std = image.floats("std"),
                isBgr = image.text("channels") == "bgr",
                crop = image.getValue("crop").jsonPrimitive.double,
                fit = image.text("fit"),
            )
            val outputs = root["outputs"]?.jsonObject?.values?.map { it.jsonObject } ?: listOf(root.getValue("output").jsonObject)
            val classes = outputs.last().getValue("shape").jsonArray.last().jsonPrimitive.int // `scores` are behind `boxes`
            val labels = open(root.text("labels")).bufferedReader().use { it.readLines() }
            require(labels.size == classes) { "${labels.size} labels for $classes classes" }
            val colours = root["colours"]?.jsonArray.orEmpty().map { colour(it.jsonArray) }
            require(task == "classification" || colours.size == classes) { "${colours.size} colours for $classes classes" }
            val limits = if (task == "detection") limits(root) else null
            val tensors = outputs.map { tensor(it) }
            val golden = golden(json(open, root.text("golden")), tensors)
            return Model(root.text("file"), task, input, tensors, labels, colours, limits, golden)
        }

        private fun limits(root: JsonObject): Limits {
            require(root.text("form") == "decoded") { "this app takes boxes of the form decoded: export for the target android" }
            fun number(name: String) = root.getValue(name).jsonPrimitive
            return Limits(number("threshold").float, number("overlap").float, number("candidates").int, number("most").int)
        }

        private fun colour(rgb: JsonArray): Int =
            rgb.fold(0xff) { mixed, each -> mixed shl 8 or (each.jsonPrimitive.int and 0xff) }

        private fun json(open: (String) -> InputStream, name: String): JsonObject =
            Json.parseToJsonElement(open(name).bufferedReader().use { it.readText() }).jsonObject

        private fun tensor(entry: JsonObject): Tensor {
            val scale = entry.getValue("scale")
            return Tensor(
                name = entry.text("name"),
                dtype = entry.text("dtype"),
                scale = if (scale is JsonNull) 1f else scale.jsonPrimitive.float,
                zeroPoint = (entry.getValue("zero_point") as? JsonPrimitive)?.takeIf { it !is JsonNull }?.int ?: 0,
            )
        }

        private fun golden(entry: JsonObject, outputs: List<Tensor>): Golden {
            val tolerances = entry["tolerances"]?.jsonObject
            val expected = outputs.map { tensor ->
                val name = if (outputs.size == 1) "probabilities" else tensor.name
                val values = entry.bytes(name)
                // Numbers of every pixel are not given twice: where they are floats they are the output.
                val raw = if (outputs.size == 1 && "output" in entry) entry.bytes("output") else values
                val tolerance = tolerances?.getValue(tensor.name) ?: entry.getValue("tolerance")
                Expected(raw, floats(values), tolerance.jsonPrimitive.float)
            }
            return Golden(
                count = entry.getValue("count").jsonPrimitive.int,
                pixels = entry.bytes("pixels"),
                input = entry.bytes("input"),
                outputs = expected,
                top1 = entry["top1"]?.jsonArray.orEmpty().map { it.jsonPrimitive.int }, // of classes alone
            )
        }

        private fun JsonObject.text(name: String) = getValue(name).jsonPrimitive.content

        private fun JsonObject.floats(name: String) =
            getValue(name).jsonArray.map { it.jsonPrimitive.float }.toFloatArray()

        private fun JsonObject.bytes(name: String) = Base64.getDecoder().decode(text(name))
    }
}
