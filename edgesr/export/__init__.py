"""Write a graph as a .tflite file and prove that the file does what the graph does."""
