"""Readers: files to arrays, with one decoder of image files and one resizer."""
