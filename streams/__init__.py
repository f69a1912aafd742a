"""When things happen: the Faust apps, one for each stage, all of them on the one safety layer in `runtime/`."""
