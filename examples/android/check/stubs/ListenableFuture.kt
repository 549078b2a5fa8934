@file:Suppress("UNUSED_PARAMETER")

package com.google.common.util.concurrent

import java.util.concurrent.CompletableFuture
import java.util.concurrent.Executor
import java.util.concurrent.Future

interface ListenableFuture<V> : Future<V> {
    fun addListener(listener: Runnable, executor: Executor)

    companion object {
        fun <V> of(value: V): ListenableFuture<V> =
            object : ListenableFuture<V>, Future<V> by CompletableFuture.completedFuture(value) {
                override fun addListener(listener: Runnable, executor: Executor) = Unit
            }
    }
}
