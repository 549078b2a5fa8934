// Frames of a camera, one after the other: the next one is taken when the last one is answered.

const SIDE = 640; // width that is asked for: nets see less

/** A camera that is on from `start` to `stop`. */
export class Camera {
  #stream;
  #asked = 0; // how often it was turned on or off
  #ended = Promise.resolve();

  /** Whether this browser gives cameras to this page: pages of other machines need https. */
  static get isThere() { return Boolean(navigator.mediaDevices?.getUserMedia); }

  get isOn() { return Boolean(this.#stream); }

  /**
   * Turns it on, and shows its frames until it is stopped.
   * @param {(frame: ImageData, rate: number) => Promise<void>} show gets a frame, upright, and how many a second there were.
   * @returns {Promise<void>} when the first frame is there; it fails where there is no camera, or a person refuses it.
   */
  async start(show) {
    const asked = ++this.#asked;
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: false, video: {facingMode: 'environment', width: {ideal: SIDE}},
    });
    const video = document.createElement('video');
    [video.muted, video.playsInline, video.srcObject] = [true, true, stream];
    await video.play();
    if (asked !== this.#asked) return stream.getTracks().forEach((track) => track.stop()); // a person had to be asked, and went on
    this.#stream = stream;
    stream.getTracks().forEach((track) => track.addEventListener('ended', () => this.stop())); // pulled out
    this.#ended = this.#run(stream, video, show);
  }

  /** Turns it off; the promise is held when the last frame was shown. */
  async stop() {
    this.#asked += 1;
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = undefined;
    await this.#ended.catch(() => {}); // `start` was told
  }

  /** Until then frames come; a fault ends them. */
  ended() { return this.#ended; }

  async #run(stream, video, show) {
    const canvas = new OffscreenCanvas(1, 1);
    const context = canvas.getContext('2d', {willReadFrequently: true});
    let [last, rate] = [performance.now(), 0];
    while (this.#stream === stream) {
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight]; // they change when a phone is turned
      context.drawImage(video, 0, 0);
      await show(context.getImageData(0, 0, canvas.width, canvas.height), rate);
      await new Promise(requestAnimationFrame); // the page is painted, and nothing runs while it is not seen
      const now = performance.now();
      rate = rate ? 0.9 * rate + 100 / (now - last) : 1000 / (now - last);
      last = now;
    }
  }
}
