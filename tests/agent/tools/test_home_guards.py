"""What opens or guards the house is told by its kind, its class and, for switches, its name in six languages."""

import pytest

from agent.tools.home_answers import Entity
from agent.tools.home_guards import is_guarded

OPENS = {
    "en": """
        Front door, Backdoor, Doorlock, Door buzzer, Buzzer, Gate, Gates, Driveway gate, Garage, Garage
        opener, Deadbolt latch, Alarm, Intercom, Roller shutter, Barrier, Front entry unlock, Garage light
    """,
    "de": """
        Türöffner, Haustüröffner, Toröffner, Türsummer, Einfahrtstor, Rolltor, Schiebetor, Garagetor,
        Garagentor, Hoftor, Tor, Tore, Tür, Türen, Türe, Haustüre, Haustuer, Haustur, Kellertur, Türschloß,
        Tuerschloss, Türriegel, Haustür öffnen, Sectionaltor, Torantrieb, Tormotor, Torsteuerung, Torrelais,
        Schranke, Pforte, Hofeinfahrt, Gartenpforte, Saunatür, Verandatür, Balkontür, Schließanlage,
        Gegensprechanlage, Werkstor, Garagenmotor, Blockschloss, Rolltorantrieb, Saunatür, Haupttor, Tor 2
    """,
    "fr": """
        Porte d'entrée, Ouvre-porte, Portail, Portillon, Porte de garage, Serrure, Gâche électrique, Verrou,
        Alarme, Barrière, Interphone
    """,
    "es": """
        Puerta, Abrepuertas, Portón, Portones, Cerradura, Cerrojo, Verja, Barrera, Garaje, Portero
        automático, Alarma
    """,
    "it": """
        Porta, Apriporta, Apricancello, Cancello, Cancelletto, Portone, Serratura, Allarme, Citofono,
        Sbarra, Apri garage, Apriporta elettrico, Porta basculante
    """,
    "pt": """
        Portão, Portões, Porta, Abre-portas, Fechadura, Cancela, Garagem, Trinco da porta, Alarme
    """,
}
HARMLESS = {
    "en": """
        Kitchen, Coffee machine, Motor, Monitor, Ventilator, Radiator, Temperatur, Aktuator, Generator,
        Clock, Block heater, Outdoor lights, Indoor plants, Gateway, Doorbell, Child lock, Storage heater,
        Store room lamp, Torch, Torches, Torrent box, Picture lamp, Furniture light, Turntable, Turbine,
        Return pump, Saturday, Noise cancelling, Portable heater, USB port, Airport, Desk lamp, TV,
        Christmas tree, Projector, Detector, Aerator, Actuator, Floor lamp, Humidor, Decorator
    """,
    "de": """
        Stehlampe, Kühlschrank, Waschmaschine, Heizung, Temperatur Bad, Kulturlampe, Natur, Türkise Lampe,
        Turm, Reaktor, Faktor, Traktor, Doktor, Ventilatoren, Sektor, Kuckucksglocke, Teichpumpe, Toaster,
        Motoren, Transistor, Kompressor, Rotor, Tastatur, Armatur, Storchlampe
    """,
    "fr": """
        Lampe du salon, Ventilateur, Radiateur, Ordinateur, Humidificateur, Cafetière, Prise, Bureau, Télé,
        Lampe portable
    """,
    "es": """
        Lámpara, Ventilador, Calefactor, Televisor, Ordenador portátil, Puerto USB, Interruptor,
        Temperatura, Luz nocturna, Abanico, Motor
    """,
    "it": """
        Lampada, Ventilatore, Stufa, Televisore, Portatile, Interruttore, Temperatura, Luce notturna,
        Albero, Motore
    """,
    "pt": """
        Luz da sala, Ventilador, Aquecedor, Tomada, Portátil, Interruptor, Temperatura, Televisor, Abajur,
        Aspirador
    """,
}


def thing(entity_id: str, name: str, device_class: str = "") -> Entity:
    return Entity(entity_id, name, "", "off", {"device_class": device_class} if device_class else {})


def names_of(text: str) -> list[str]:
    return [" ".join(name.split()) for name in text.split(",")]


@pytest.mark.parametrize("language", OPENS)
@pytest.mark.parametrize("domain", ["switch", "input_boolean"])
def test_a_switch_that_is_called_like_a_door_is_one_and_others_are_not(language: str, domain: str) -> None:
    assert [one for one in names_of(OPENS[language]) if not is_guarded(thing(f"{domain}.x", one))] == []
    assert [one for one in names_of(HARMLESS[language]) if is_guarded(thing(f"{domain}.x", one))] == []


def test_its_id_tells_too() -> None:
    assert is_guarded(thing("switch.garage_door_relay", "Relay 2"))
    assert not is_guarded(thing("switch.relay_2", "Relay 2"))


@pytest.mark.parametrize("domain", ["light", "fan", "media_player", "climate", "humidifier", "vacuum"])
def test_a_lamp_opens_nothing_whatever_it_is_called(domain: str) -> None:
    for name in ("Garage light", "Front door lamp", "Garage", "Torlampe", "Türlicht"):
        assert not is_guarded(thing(f"{domain}.x", name))


def test_kinds_and_classes_that_open_or_guard_are_asked_about_and_so_is_an_unknown_kind() -> None:
    kinds = (
        "lock cover alarm_control_panel valve siren script scene automation button input_button water_heater".split()
    )
    assert [kind for kind in kinds if not is_guarded(thing(f"{kind}.x", "X"))] == []
    classes = "garage garage_door door gate lock window".split()
    assert [one for one in classes if not is_guarded(thing("switch.x", "X", one))] == []
