import * as ort from "onnxruntime-web/wasm";

/** @typedef {Float32Array} Landmarks 21 × (x, y, z) in any unit, right hands mirrored */

/** A network that `python -m sign_cnn.export` wrote, with the names of its classes. */
export class Network {
  /**
   * Prepares the runtime, once.
   * @param {ArrayBuffer} wasm content of ort-wasm-simd-threaded.wasm
   */
  static prepare(wasm) {
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = 1; // more need headers that a plain static host does not send
  }

  /**
   * Opens a network of landmarks.
   * @param {ArrayBuffer} content of the ONNX file
   * @param {number} classes how many it has to know
   */
  static async open(content, classes) {
    const network = new Network();
    network.session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
    // The runtime does not hand out the metadata.
    const names = /"class_names": (\[[^\]]*\])/.exec(new TextDecoder("latin1").decode(content));
    network.classNames = names ? JSON.parse(names[1]) : [];
    if (network.classNames.length !== classes)
      throw new Error(`it does not know ${classes} classes`);
    return network;
  }

  /**
   * Returns the probabilities of each class.
   * @param {Float32Array} numbers landmarks, one or more, one after the other
   * @param {number[]} shape of the inputs
   * @returns {Promise<Float32Array>}
   */
  async read(numbers, shape) {
    const inputs = new ort.Tensor("float32", numbers, shape);
    const { probabilities } = await this.session.run({ inputs }, ["probabilities"]);
    return probabilities.data;
  }
}
