"""A question in, a cited answer out, and the faces people use: command line, chat and HTTP."""
