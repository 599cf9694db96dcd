/**
 * A hand in a picture.
 * @typedef {object} Hand
 * @property {Float32Array} landmarks 21 × (x, y, z): x and y in pixels of the picture, z in the same
 *   unit, negative towards the camera
 * @property {"left" | "right"} hand in MediaPipe's sense: "left" is the signer's right hand, in a
 *   picture that is not mirrored
 * @property {number} score probability that it is a hand, 0..1
 */

/** Finds a hand in pictures, in a worker, so that the page stays quick. */
export class HandFinder {
  /**
   * Loads the networks.
   * @param {string | URL} baseUrl folder of finder-worker.js, the weights and LiteRT
   * @param {{accelerator?: "wasm" | "webgpu"}} options by default the graphics card, where there
   *   is one that works
   * @returns {Promise<HandFinder>}
   */
  static async load(baseUrl = document.baseURI, { accelerator } = {}) {
    const folder = new URL(".", new URL(baseUrl, document.baseURI)).href;
    const card = accelerator ? null : await navigator.gpu?.requestAdapter().catch(() => null);
    const choice = accelerator ?? (card && !card.info?.isFallbackAdapter ? "webgpu" : "wasm");
    const finder = new HandFinder(new Worker(`${folder}finder-worker.js`), choice);
    try {
      await finder.#ask({ command: "load", baseUrl: folder, accelerator: choice });
      return finder;
    } catch (error) {
      finder.#worker.terminate();
      if (accelerator || choice === "wasm") throw error;
      return HandFinder.load(baseUrl, { accelerator: "wasm" });
    }
  }

  #worker;
  #waiting = new Map();
  #asked = 0;

  /** @param {Worker} worker @param {"wasm" | "webgpu"} accelerator */
  constructor(worker, accelerator) {
    [this.#worker, this.accelerator] = [worker, accelerator];
    worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) reject(new Error(error));
      else resolve(result);
    };
    worker.onerror = ({ message }) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(message ?? "finder-worker.js cannot be loaded"));
    };
  }

  #ask(message, transfer = []) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#asked, { resolve, reject });
      this.#worker.postMessage({ id: this.#asked, ...message }, transfer);
    });
  }

  /**
   * Finds the hand of a picture. Frames of a video come in order, each after the answer to the one
   * before; before a picture that has nothing to do with them, call `reset`.
   * @param {HTMLVideoElement | HTMLCanvasElement | ImageBitmap} source
   * @returns {Promise<Hand | null>}
   */
  async find(source) {
    const picture = await createImageBitmap(source);
    return this.#ask({ command: "find", picture }, [picture]);
  }

  /** Forgets the hand that is followed. */
  reset() {
    return this.#ask({ command: "reset" });
  }
}
