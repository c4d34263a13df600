"""Say before anybody owns the phone what a delegate will make of a .tflite file."""
