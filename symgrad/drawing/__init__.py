"""Drawings of graphs: boxes and links, laid out in rows, written as SVG, DOT or Mermaid.

In: expressions, and uses of layers. Out: `sg.graph`'s pictures. It must not know compilation or training.
"""
