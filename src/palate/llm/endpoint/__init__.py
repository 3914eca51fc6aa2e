"""Any endpoint that speaks Chat Completions, whatever part of the protocol it understands."""
