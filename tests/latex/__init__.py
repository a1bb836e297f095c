"""A check that a TeX engine reads our LaTeX: `make check-latex`, which installs KaTeX with npm."""
