package androidx.activity.result.contract

import android.net.Uri
import androidx.activity.result.ActivityResultContract
import androidx.activity.result.PickVisualMediaRequest

class ActivityResultContracts {
    class PickVisualMedia : ActivityResultContract<PickVisualMediaRequest, Uri?>() {
        interface VisualMediaType

        object ImageOnly : VisualMediaType
    }

    class RequestPermission : ActivityResultContract<String, Boolean>()

    class TakePicture : ActivityResultContract<Uri, Boolean>()
}
