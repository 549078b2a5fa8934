package com.example.classifier

data class Category(val label: String, val probability: Float)

/** A net that says of which class an image is. */
class Classifier(model: Model, engine: Engine) : Net(model, engine) {
    /** The best classes, best first. */
    fun classify(pixels: ByteArray, count: Int = 5): List<Category> {
        val found = probabilities(pixels)
        return found.indices.sortedByDescending { found[it] }.take(count).map { Category(model.labels[it], found[it]) }
    }
}
