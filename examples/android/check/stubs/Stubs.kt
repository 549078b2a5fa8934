// The few classes of Android and AndroidX that the app uses, as empty shells: the compiler checks the app's code against
// them where no Android SDK can be had. Names and types are those of the documentation; nothing of this goes into an app.
@file:Suppress("UNUSED_PARAMETER", "unused")

package com.example.classifier

object R {
    object layout { const val main = 1 }

    object id {
        const val status = 1
        const val choose = 2
        const val gpu = 3
        const val image = 4
        const val answer = 5
        const val take = 6
        const val live = 7
    }

    object string {
        const val loading = 1
        const val refused = 2
    }
}
