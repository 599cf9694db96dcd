import * as ort from "onnxruntime-web/wasm";

// More threads need headers that a plain static host does not send.
ort.env.wasm.numThreads = 1;

/**
 * A network of landmarks that `python -m sign_cnn.export` wrote.
 * @typedef {object} Network
 * @property {string[]} classNames
 * @property {(numbers: Float32Array, shape: number[]) => Promise<Float32Array>} read returns the
 *   probabilities of each class, for right hands mirrored, one or more, one after the other
 */

/**
 * Opens a network.
 * @param {ArrayBuffer} content of the ONNX file
 * @param {number} classes how many it has to know
 * @returns {Promise<Network>}
 */
export async function openNetwork(content, classes) {
  const session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
  // The runtime does not hand out the metadata.
  const names = /"class_names": (\[[^\]]*\])/.exec(new TextDecoder("latin1").decode(content));
  const classNames = names ? JSON.parse(names[1]) : [];
  if (classNames.length !== classes) throw new Error(`it does not know ${classes} classes`);
  const read = async (numbers, shape) => {
    const inputs = new ort.Tensor("float32", numbers, shape);
    return (await session.run({ inputs }, ["probabilities"])).probabilities.data;
  };
  return { classNames, read };
}
