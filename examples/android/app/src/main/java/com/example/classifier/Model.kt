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

/** Vectors of the exporter, for the app to test itself with. */
class Golden(
    val tolerance: Float,
    val count: Int,
    val pixels: ByteArray,
    val input: ByteArray,
    val output: ByteArray,
    val probabilities: FloatArray,
    val top1: List<Int>,
)

/**
 * What `model.json` of an exported folder says; nothing about a model is written into the app's code.
 *
 * Of a net that draws masks, [colours] has one for each class, as `Bitmap` has them.
 */
class Model(
    val file: String,
    val task: String,
    val input: Input,
    val output: Tensor,
    val labels: List<String>,
    val colours: List<Int>,
    val golden: Golden,
) {
    companion object {
        private val TASKS = listOf("classification", "segmentation")

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
            val output = root.getValue("output").jsonObject
            val classes = output.getValue("shape").jsonArray.last().jsonPrimitive.int
            val labels = open(root.text("labels")).bufferedReader().use { it.readLines() }
            require(labels.size == classes) { "${labels.size} labels for $classes classes" }
            val colours = root["colours"]?.jsonArray.orEmpty().map { colour(it.jsonArray) }
            require(task != "segmentation" || colours.size == classes) { "${colours.size} colours for $classes classes" }
            val golden = golden(json(open, root.text("golden")))
            return Model(root.text("file"), task, input, tensor(output), labels, colours, golden)
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

        private fun golden(entry: JsonObject) = Golden(
            tolerance = entry.getValue("tolerance").jsonPrimitive.float,
            count = entry.getValue("count").jsonPrimitive.int,
            pixels = entry.bytes("pixels"),
            input = entry.bytes("input"),
            // Numbers of every pixel are not given twice: where they are floats they are the output.
            output = if ("output" in entry) entry.bytes("output") else entry.bytes("probabilities"),
            probabilities = floats(entry.bytes("probabilities")),
            top1 = entry["top1"]?.jsonArray.orEmpty().map { it.jsonPrimitive.int }, // of classes alone
        )

        private fun JsonObject.text(name: String) = getValue(name).jsonPrimitive.content

        private fun JsonObject.floats(name: String) =
            getValue(name).jsonArray.map { it.jsonPrimitive.float }.toFloatArray()

        private fun JsonObject.bytes(name: String) = Base64.getDecoder().decode(text(name))
    }
}
