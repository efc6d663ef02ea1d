"""Image embedding: fetch a picture, decode it in a sandboxed process, embed it and cache its look."""
