"""Fieldwork: areas of a map that volunteers go and survey. An example to rehearse deploys with."""
