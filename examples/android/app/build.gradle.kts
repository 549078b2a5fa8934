plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "com.example.classifier"
    compileSdk = 35
    defaultConfig {
        applicationId = "com.example.classifier"
        minSdk = 28 // ImageDecoder, which turns photos upright
        targetSdk = 35
        versionCode = 1
        versionName = "1.0"
    }
    androidResources {
        noCompress += "tflite" // LiteRT maps the file into memory
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    kotlinOptions {
        jvmTarget = "17"
    }
}

dependencies {
    implementation("androidx.activity:activity-ktx:1.9.3")
    implementation("androidx.camera:camera-camera2:1.4.1")
    implementation("androidx.camera:camera-lifecycle:1.4.1")
    implementation("com.google.ai.edge.litert:litert:2.1.0")
    implementation("org.jetbrains.kotlinx:kotlinx-serialization-json:1.7.3")
}
