"""The demo: the whole loop once, on six real series and a simulated live one, checked at its end."""
