"""The machine side of symgrad: expression graphs to native kernels through LLVM (see `codegen.pipeline`)."""
