"""The engine; the only home of onnxruntime and openvino."""
