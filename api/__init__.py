"""The HTTP process: views parse, submit and render; everything else is elsewhere. Never reaches torch."""
