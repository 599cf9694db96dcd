/**
 * A hand in a picture.
 * @typedef {object} Hand
 * @property {Float32Array} landmarks 21 × (x, y, z): x and y in pixels of the picture, z in the same
 *   unit, negative towards the camera
 * @property {"left" | "right"} hand in MediaPipe's sense: "left" is the signer's right hand, in a
 *   picture that is not mirrored
 */

/** Finds a hand in pictures, in a worker, so that the page stays quick. */
export class HandFinder {
  #worker = new Worker("finder-worker.js");

  /** Resolves once the networks, and LiteRT, which runs them, are loaded. */
  ready = this.#ask({});

  #ask(message, ...transferred) {
    const { port1, port2 } = new MessageChannel();
    this.#worker.postMessage(message, [port2, ...transferred]);
    return new Promise((resolve, reject) => {
      port1.onmessage = ({ data }) => (data.error ? reject(data.error) : resolve(data.result));
      this.#worker.onerror = () => reject(new Error("finder-worker.js cannot be loaded."));
    });
  }

  /**
   * Finds the hand of a picture.
   * @param {HTMLVideoElement | HTMLCanvasElement | ImageBitmap} source
   * @param {boolean} isVideo whether this is the next frame of a video, whose hand is followed
   * @returns {Promise<Hand | null>}
   */
  async find(source, isVideo = true) {
    const picture = await createImageBitmap(source);
    return this.#ask({ picture, isVideo }, picture);
  }
}
