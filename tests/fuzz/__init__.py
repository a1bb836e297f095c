"""Random graphs: compiled against interpreted, fused against unfused, one thread against several."""
