@file:Suppress("UNUSED_PARAMETER", "unused")

package androidx.activity.result

import androidx.activity.result.contract.ActivityResultContracts

open class ActivityResultContract<I, O>

class ActivityResultLauncher<I> { fun launch(input: I) = Unit }

class PickVisualMediaRequest(type: ActivityResultContracts.PickVisualMedia.VisualMediaType)
