@file:Suppress("unused")

package android.os

class Bundle

object SystemClock { fun elapsedRealtimeNanos() = 0L }
